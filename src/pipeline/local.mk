libmb_la_SOURCES += \
	src/pipeline/buckets.c \
	src/pipeline/costs.c src/pipeline/costs.h \
	src/pipeline/draw.c src/pipeline/draw.h \
	src/pipeline/edges.c src/pipeline/edges.h \
	src/pipeline/gradients.c src/pipeline/gradients.h \
	src/pipeline/hardware.c src/pipeline/hardware.h \
	src/pipeline/kept.c src/pipeline/kept.h \
	src/pipeline/lives.c src/pipeline/lives.h \
	src/pipeline/lower.c \
	src/pipeline/order.c src/pipeline/order.h \
	src/pipeline/partition.c src/pipeline/partition.h \
	src/pipeline/plan.c src/pipeline/plan.h \
	src/pipeline/planner.c src/pipeline/planner.h src/pipeline/planner_private.h \
	src/pipeline/planner_cut.c \
	src/pipeline/planner_memory.c \
	src/pipeline/planner_recompute.c \
	src/pipeline/planner_slots.c \
	src/pipeline/recompute.c src/pipeline/recompute.h \
	src/pipeline/planner_estimate.c \
	src/pipeline/planner_explain.c \
	src/pipeline/schedule.c src/pipeline/schedule.h \
	src/pipeline/schedule_1f1b.c \
	src/pipeline/schedule_auto.c \
	src/pipeline/schedule_bound.c \
	src/pipeline/schedule_file.c \
	src/pipeline/schedule_gpipe.c \
	src/pipeline/schedule_limited.c \
	src/pipeline/schedule_list.c src/pipeline/schedule_list.h \
	src/pipeline/schedule_private.h \
	src/pipeline/schedule_search.c \
	src/pipeline/schedule_segments.c \
	src/pipeline/schedule_time.c \
	src/pipeline/schedule_v.c \
	src/pipeline/schedule_wakes.c src/pipeline/schedule_wakes.h \
	src/pipeline/segments.c src/pipeline/segments.h \
	src/pipeline/simulate.c src/pipeline/simulate.h \
	src/pipeline/simulate_private.h \
	src/pipeline/simulate_network.c \
	src/pipeline/simulate_pace.c \
	src/pipeline/simulate_rank.c \
	src/pipeline/simulate_stuck.c \
	src/pipeline/simulate_sum_plans.c \
	src/pipeline/simulate_sums.c src/pipeline/simulate_sums.h \
	src/pipeline/simulate_sums_create.c \
	src/pipeline/text.c \
	src/pipeline/trace.c src/pipeline/trace.h \
	src/pipeline/validate.c src/pipeline/validate.h \
	src/pipeline/validate_form.c \
	src/pipeline/validate_match.c \
	src/pipeline/validate_order.c \
	src/pipeline/walk.c src/pipeline/walk.h
