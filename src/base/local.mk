libmb_la_SOURCES += \
	src/base/arena.c src/base/arena.h \
	src/base/background.c src/base/background.h \
	src/base/config.c src/base/config.h \
	src/base/crc32c.c src/base/crc32c.h \
	src/base/duration.c src/base/duration.h \
	src/base/error.c src/base/error.h \
	src/base/events.c src/base/events.h \
	src/base/fiber.c src/base/fiber.h \
	src/base/float_mode.c src/base/float_mode.h \
	src/base/flows.c src/base/flows.h \
	src/base/host_memory.c src/base/host_memory.h \
	src/base/json.c \
	src/base/json_value.c src/base/json_value.h \
	src/base/log.c src/base/log.h \
	src/base/median.c src/base/median.h \
	src/base/number.c src/base/number.h \
	src/base/philox.c src/base/philox.h \
	src/base/pin.c src/base/pin.h \
	src/base/str.c src/base/str.h \
	src/base/types.c src/base/types.h
