"""The exit statuses of every command."""

OK = 0
SOME_REFUSED = 1
USAGE = 2
UNAVAILABLE = 3
UNSAFE = 4
