"""What is done with every input of a command."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from affectkit.options import OutputOptions, PredictorConfig, StreamOptions
from affectkit.runs.brought import Transfer
from affectkit.sources.limits import Opening


@dataclass(frozen=True, slots=True)
class Work:
    """What every process does; all of it can be sent to one."""

    predictor: PredictorConfig = field(default_factory=PredictorConfig)
    asked: StreamOptions = field(default_factory=StreamOptions)
    outputs: OutputOptions = field(default_factory=OutputOptions)
    opening: Opening = field(default_factory=Opening)
    transfer: Transfer = field(default_factory=Transfer)
    wording: type[logging.Formatter] = logging.Formatter
    """How processes of their own say warnings."""
