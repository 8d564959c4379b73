"""The explorer: a page in the browser on which every knob is live."""
