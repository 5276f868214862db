"""What pages are made of: :mod:`affectkit.report.markup`, which reports of predictions share."""

from __future__ import annotations

from affectkit.report.markup import Markup as Markup
from affectkit.report.markup import bar as bar
from affectkit.report.markup import data_url as data_url
from affectkit.report.markup import element as element
from affectkit.report.markup import figure as figure
from affectkit.report.markup import joined as joined
from affectkit.report.markup import number as number
from affectkit.report.markup import table as table
from affectkit.report.markup import void as void
