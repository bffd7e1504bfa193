"""The stored state of all that follows from what is observed of one model."""

from msgspec import field

from streams.action.book import CommandBook
from streams.action.challenge import Challenge
from streams.action.fallback import Fallback
from streams.action.retraining import Retraining
from streams.action.review import Reviews
from streams.codec import Machine


class ActionState(Machine):
    """The open commands of a model, and its policies."""

    book: CommandBook = field(default_factory=CommandBook)
    retraining: Retraining = field(default_factory=Retraining)
    fallback: Fallback = field(default_factory=Fallback)
    reviews: Reviews = field(default_factory=Reviews)
    challenge: Challenge = field(default_factory=Challenge)
