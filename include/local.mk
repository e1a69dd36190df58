mbinclude_HEADERS += include/mb/mb.h include/mb/status.h
