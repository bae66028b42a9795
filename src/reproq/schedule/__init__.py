"""When schedules fire: expression.py reads them, zones.py places them on the clock, upcoming.py lists their moments.

Pure: the clock is an argument, and knows no database. Zones are those of the tz database, read as a table.
"""
