mbinclude_HEADERS += include/mb/mb.h include/mb/status.h
# It declares what plugins have, not what the library has.
mbplugindir = $(mbincludedir)
mbplugin_HEADERS = include/mb/plugin.h
