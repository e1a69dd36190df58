mbinclude_HEADERS += include/mb/mb.h include/mb/status.h
# It declares what plugins have, not what the library has.
mbplugindir = $(mbincludedir)
mbplugin_HEADERS = include/mb/plugin.h
# C++ over mb.h, whose names it uses but does not add to.
mbcxxdir = $(mbincludedir)
mbcxx_HEADERS = include/mb/mb.hpp
