"""How every command starts and ends: its command line, its connection to Ray, and who owns an output folder."""
