"""Admission: from the frames of boxes to the ledger, and the answers back."""

from aggregator.admission.core import Admission, EnrolledEdge, Replies
from aggregator.admission.group import GroupLimits
from aggregator.admission.sessions import Liveness

__all__ = ["Admission", "EnrolledEdge", "GroupLimits", "Liveness", "Replies"]
