"""The web application and the `uac` command line."""
