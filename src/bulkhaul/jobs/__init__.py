"""Plans of many objects, their runs and their reports: every planned object is accounted for."""
