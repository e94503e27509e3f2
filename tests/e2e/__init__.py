"""Whole processes: many writers on one database, killed servers, a killed database, the newcomer's first minute."""
