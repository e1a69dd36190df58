# Manual pages are Markdown with holes: options, usage and commands are what the built program says of itself, calls are what
# mb.h declares and says above it. build-aux/man.awk turns a filled page into roff.
man_commands = average bench completion configure convert data diff eval export info inspect ls new plan predict quantize \
	simulate submit supervise trace train
COMMAND_PAGES = doc/man/mbrun.1 \
	doc/man/mbrun-average.1 doc/man/mbrun-bench.1 doc/man/mbrun-completion.1 doc/man/mbrun-configure.1 \
	doc/man/mbrun-convert.1 doc/man/mbrun-data.1 doc/man/mbrun-diff.1 doc/man/mbrun-eval.1 doc/man/mbrun-export.1 \
	doc/man/mbrun-info.1 doc/man/mbrun-inspect.1 doc/man/mbrun-ls.1 doc/man/mbrun-new.1 doc/man/mbrun-plan.1 \
	doc/man/mbrun-predict.1 doc/man/mbrun-quantize.1 doc/man/mbrun-simulate.1 doc/man/mbrun-submit.1 \
	doc/man/mbrun-supervise.1 doc/man/mbrun-trace.1 doc/man/mbrun-train.1
CALL_PAGES = doc/man/mb_checkpoint.3 doc/man/mb_context.3 doc/man/mb_errors.3 doc/man/mb_model.3 doc/man/mb_planner.3 doc/man/mb_predictor.3 \
	doc/man/mb_quantizer.3 doc/man/mb_reservoir.3 doc/man/mb_trainer.3
OTHER_PAGES = doc/man/mb-format.5 doc/man/mb-environment.7
if !CROSS_COMPILING
nodist_man1_MANS = $(COMMAND_PAGES)
endif
nodist_man3_MANS = $(CALL_PAGES)
nodist_man5_MANS = doc/man/mb-format.5
nodist_man7_MANS = doc/man/mb-environment.7
CLEANFILES += $(COMMAND_PAGES) $(CALL_PAGES) $(OTHER_PAGES)
EXTRA_DIST += $(COMMAND_PAGES:=.md) $(CALL_PAGES:=.md) $(OTHER_PAGES:=.md) build-aux/man.awk build-aux/help-to-markdown.awk \
	build-aux/header-to-markdown.awk

to_roff = $(AWK) -v version=$(VERSION) -f $(top_srcdir)/build-aux/man.awk
$(COMMAND_PAGES): mbrun$(EXEEXT) $(top_srcdir)/build-aux/man.awk $(top_srcdir)/build-aux/help-to-markdown.awk
	$(AM_V_GEN)$(MKDIR_P) doc/man && name=`echo $@ | $(SED) 's|.*mbrun-*||; s|\.1$$||'` && \
	./mbrun$(EXEEXT) $$name --help >$@.help && \
	$(AWK) -f $(top_srcdir)/build-aux/help-to-markdown.awk $@.help $(top_srcdir)/$@.md >$@.filled && \
	$(to_roff) $@.filled >$@.tmp && rm -f $@.help $@.filled && mv $@.tmp $@
$(CALL_PAGES): $(top_srcdir)/include/mb/mb.h $(top_srcdir)/build-aux/man.awk $(top_srcdir)/build-aux/header-to-markdown.awk
	$(AM_V_GEN)$(MKDIR_P) doc/man && \
	$(AWK) -f $(top_srcdir)/build-aux/header-to-markdown.awk $(top_srcdir)/include/mb/mb.h $(top_srcdir)/$@.md >$@.filled && \
	$(to_roff) $@.filled >$@.tmp && rm -f $@.filled && mv $@.tmp $@
$(OTHER_PAGES): $(top_srcdir)/build-aux/man.awk
	$(AM_V_GEN)$(MKDIR_P) doc/man && $(to_roff) $(top_srcdir)/$@.md >$@.tmp && mv $@.tmp $@
# A page that was edited is made again.
doc/man/mbrun.1: doc/man/mbrun.1.md
$(man_commands:%=doc/man/mbrun-%.1): doc/man/mbrun-%.1: doc/man/mbrun-%.1.md
$(CALL_PAGES) $(OTHER_PAGES): %: %.md

# Each call is a page of its own, which leads to its group's.
call_names = $(SED) -n '/^.SH NAME/{n;p;}' $$page | tr -cs 'a-z0-9_' '[\n*]' | grep '^mb_'
install-data-hook:
	for page in $(CALL_PAGES); do for name in `$(call_names)`; do \
	  test "doc/man/$$name.3" = $$page || \
	  echo ".so man3/`basename $$page`" >"$(DESTDIR)$(man3dir)/$$name.3" || exit 1; done; done
uninstall-hook:
	for page in $(CALL_PAGES); do for name in `$(call_names)`; do \
	  rm -f "$(DESTDIR)$(man3dir)/$$name.3"; done; done

SHELL_TESTS += tests/unit/man.sh
tests/unit/man.log: mbrun$(EXEEXT) libmb.sym $(COMMAND_PAGES) $(CALL_PAGES) $(OTHER_PAGES)
