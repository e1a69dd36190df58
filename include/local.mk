mbinclude_HEADERS += include/mb/status.h
