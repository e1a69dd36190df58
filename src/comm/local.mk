libmb_la_SOURCES += \
	src/comm/among.c src/comm/among.h \
	src/comm/channel.c src/comm/channel.h \
	src/comm/comm.c src/comm/comm.h src/comm/state.h src/comm/tags.h \
	src/comm/failure.c \
	src/comm/gather.c \
	src/comm/grid.c src/comm/grid.h \
	src/comm/p2p.c \
	src/comm/pulse.c \
	src/comm/reduce.c src/comm/reduce.h \
	src/comm/reduce_fold.c src/comm/reduce_fold.h \
	src/comm/reduce_window.c src/comm/reduce_window.h \
	src/comm/shared.c src/comm/shared.h \
	src/comm/reduce_plan.c src/comm/reduce_plan.h \
	src/comm/reduce_link.c src/comm/reduce_link.h \
	src/comm/report.c \
	src/comm/small.c \
	src/comm/split.c \
	src/comm/standing.c \
	src/comm/transport.c src/comm/transport.h \
	src/comm/transport_absent.c \
	src/comm/transport_aware.c \
	src/comm/transport_channel.c \
	src/comm/transport_mpi.c src/comm/transport_mpi.h \
	src/comm/transport_queue.c \
	src/comm/transport_staged.c \
	src/comm/tree.c src/comm/tree.h \
	src/comm/turns.c src/comm/turns.h \
	src/comm/vote.c src/comm/vote.h \
	src/comm/virtual.c src/comm/virtual.h \
	src/comm/virtual_private.h \
	src/comm/virtual_stuck.c \
	src/comm/virtual_wire.c \
	src/comm/wait.c \
	src/comm/wire.h \
	src/comm/wire_mpi.c
