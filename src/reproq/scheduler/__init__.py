"""Schedulers: ticking.py is the duty of firing schedules, in any loop; beat.py is a process that has no other."""
