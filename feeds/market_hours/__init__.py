"""When the market does what: dated hours by class of instrument, holidays, overrides at run time, halts."""
