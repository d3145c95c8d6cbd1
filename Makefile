# Benchmarks and the page that shows them. DATA is the folder of the public edit sets, under the names below.
#
#   make bench DATA=FOLDER        measures everything and writes the page; what is measured already is kept
#   make bench-quick DATA=FOLDER  the least that shows that everything runs; its figures say nothing and are not kept
#   make docs                     writes the page from the figures there are

PYTHON ?= python
RESULTS := benchmarks/results
SCRATCH := build/bench-quick

EDITS = $(DATA)/zsre.jsonl
UNRELATED = $(DATA)/nq_locality.jsonl
QUALITY = $(EDITS) $(UNRELATED) --counterfact $(DATA)/counterfact_questions.jsonl \
	--hallucination $(DATA)/wikibio_edit.jsonl $(DATA)/wikibio_accurate.jsonl $(DATA)/openwebtext.jsonl
# These need no data, and know --quick.
SPEED := inference_speed loading profiles

.PHONY: bench bench-quick docs need-data

bench: need-data
	$(PYTHON) benchmarks/quality.py $(QUALITY) --json $(RESULTS)/quality.json
	$(PYTHON) benchmarks/routing.py $(EDITS) $(DATA)/counterfact_questions.jsonl --unrelated $(UNRELATED) \
		--json $(RESULTS)/routing.json
	$(PYTHON) benchmarks/training_speed.py $(EDITS) --json $(RESULTS)/training_speed.json
	for name in $(SPEED); do $(PYTHON) benchmarks/$$name.py --json $(RESULTS)/$$name.json || exit 1; done
	$(MAKE) docs

bench-quick: need-data
	$(PYTHON) benchmarks/quality.py $(QUALITY) --quick --fresh --json $(SCRATCH)/quality.json
	for name in $(SPEED); do $(PYTHON) benchmarks/$$name.py --quick --json $(SCRATCH)/$$name.json || exit 1; done

docs:
	$(PYTHON) benchmarks/page.py

need-data:
	@test -f "$(EDITS)" || { echo "No $(EDITS): say where the edit sets are, make bench DATA=FOLDER"; exit 1; }
