libmb_la_SOURCES +=
