"""``affectkit train report RUN -o report.html``: a run on one page."""

from affectkit.train.report.command import report, write_report

__all__ = ["report", "write_report"]
