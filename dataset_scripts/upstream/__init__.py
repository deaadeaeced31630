"""Reading what publishers publish: finding files, csv, and JSON in its three layouts, at the speed of Arrow."""
