"""Tables in memory: read, written, filtered, summed up, plotted; :class:`affectkit.Table` has all of it as methods."""
