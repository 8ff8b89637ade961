"""Alarms: raised and ended by what devices and boxes say, taken in hand and settled by people; all from the ledger.

    records  -->  new  --somebody acknowledges-->  acked  --resolves, with a cause-->  resolved
                  again within ten minutes  <----------------------------------------------

There is one open alarm for each kind and source, with a count. Whether the trouble itself still lasts (`cleared`) is a
matter of the source and independent of who has it in hand.
"""

from aggregator.alarms.alarm import Alarm, State
from aggregator.alarms.desk import AlarmDesk, Cause
from aggregator.alarms.reader import AlarmReader
from aggregator.alarms.rules import KINDS, Kind

__all__ = ["KINDS", "Alarm", "AlarmDesk", "AlarmReader", "Cause", "Kind", "State"]
