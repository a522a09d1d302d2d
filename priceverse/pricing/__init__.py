"""From trades to prices, pure: values and `now` come in, values go out. No socket, no file, no clock, no float."""
