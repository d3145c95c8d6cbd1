# Benchmarks and the page that shows them. DATA is the folder of the public edit sets, under the names below.
#
#   make bench DATA=FOLDER        measures everything and writes the page; what is measured already is kept
#   make bench-quick DATA=FOLDER  the least that shows that everything runs; its figures say nothing and are not kept
#   make docs                     writes the page from the figures there are

PYTHON ?= python
RESULTS := benchmarks/results
SCRATCH := build/bench-quick

EDITS = $(DATA)/zsre.jsonl
COUNTERFACT = $(DATA)/counterfact_questions.jsonl
UNRELATED = $(DATA)/nq_locality.jsonl
QUALITY = $(EDITS) $(UNRELATED) --counterfact $(COUNTERFACT) \
	--hallucination $(DATA)/wikibio_edit.jsonl $(DATA)/wikibio_accurate.jsonl $(DATA)/openwebtext.jsonl

.PHONY: bench bench-quick docs need-data

bench: need-data
	$(PYTHON) benchmarks/quality.py $(QUALITY) --json $(RESULTS)/quality.json
	$(PYTHON) benchmarks/routing.py $(EDITS) $(COUNTERFACT) --unrelated $(UNRELATED) --json $(RESULTS)/routing.json
	$(PYTHON) benchmarks/router_choices.py $(EDITS) $(COUNTERFACT) --json $(RESULTS)/router_choices.json
	$(PYTHON) benchmarks/many_edits.py --json $(RESULTS)/many_edits.json
	$(PYTHON) benchmarks/aliases.py --json $(RESULTS)/aliases.json
	$(PYTHON) benchmarks/silent_experts.py $(EDITS) $(COUNTERFACT) --json $(RESULTS)/silent_experts.json
	$(PYTHON) benchmarks/speed.py $(EDITS) $(COUNTERFACT) --results $(RESULTS)
	$(MAKE) docs

bench-quick: need-data
	$(PYTHON) benchmarks/quality.py $(QUALITY) --quick --fresh --json $(SCRATCH)/quality.json
	$(PYTHON) benchmarks/speed.py $(EDITS) --quick --results $(SCRATCH)

docs:
	$(PYTHON) benchmarks/page.py

need-data:
	@test -f "$(EDITS)" || { echo "No $(EDITS): say where the edit sets are, make bench DATA=FOLDER"; exit 1; }
