# `make help` lists the tasks. The first use of a task sets up what it needs in .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/pip --disable-pip-version-check install --quiet --require-hashes
RUN    := $(VENV)/.run-$(shell cat requirements/build.txt requirements/server.txt pyproject.toml | cksum | cut -d' ' -f1)
DEV    := $(VENV)/.dev-$(shell cat requirements/*.txt pyproject.toml | cksum | cut -d' ' -f1)
AWS    := .venv-aws/.done-$(shell cat requirements/localstack.txt requirements/runtime-client.txt tests/aws/install.py | cksum | cut -d' ' -f1)
TEMPLATE := .venv-template/.done-$(shell cksum < requirements/template.txt | cut -d' ' -f1)
# cfn-lint, checkov, parliament and our own rules take a minute: again only after a change of what they read.
TEMPLATE_LINTERS := tests/deployment/test_template_linters.py tests/deployment/test_template_rules.py
LINTED_FILES := deployment/template.yaml tests/deployment/*.py \
	$(addprefix src/image_processor/,config/*.py aws_lambda/*.py catalog/dynamodb/*.py api/error_status.py)
TEMPLATE_LINTED := .venv-template/.linted-$(shell cat $(LINTED_FILES) | cksum | cut -d' ' -f1)
STRESS := .venv-stress/.done-$(shell cksum < requirements/stress.txt | cut -d' ' -f1)
MUTATION := .venv-mutation/.done-$(shell cksum < requirements/mutation.txt | cut -d' ' -f1)
SAM    := .venv-sam/.done-$(shell cksum < requirements/sam.txt | cut -d' ' -f1)
SITE   := .venv-site/.done-$(shell cksum < requirements/site.txt | cut -d' ' -f1)
BENCH  := .venv-bench/.done-$(shell cksum < requirements/bench.txt | cut -d' ' -f1)
PYTEST_ARGS ?=
# Tests that look at much more where STRESS is set.
LONGER := tests/delivery/test_altered_urls.py tests/delivery/test_url_parser.py tests/api/test_http_contract.py \
	tests/api/test_http_delivery.py tests/simulation/test_promises.py tests/contracts/test_catalog_listing.py tests/contracts/test_store_listing.py tests/hostile/test_mutations.py tests/end_to_end/test_kill.py \
	tests/aws_lambda/test_reconcile_function.py tests/deployment/test_template_rules.py tests/deployment/test_package.py tests/fuzzing
ARGS        ?=
TEST_WORKERS ?= 4
# Some images of containers set it. Then each of the Pythons that tests start compiles all that it imports.
export PYTHONDONTWRITEBYTECODE :=
# What `make coverage` leaves out: it runs in other processes.
ELSEWHERE := tests/aws tests/deployment tests/browser tests/clients
# The fast tier: no emulated AWS, no browser, no server; with the linters about a minute.
FAST := tests/domain tests/config tests/ingest tests/delivery tests/test_*.py --deselect tests/delivery/test_altered_urls.py

.DEFAULT_GOAL := help
.PHONY: screenshots help run venv check test coverage lint style rules format types environments unit bench stress mutation docs gallery edge site studio clients lock package release sbom audit sam clean

help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(RUN) ## start the server on http://127.0.0.1:8000, data under ./data
	$(BIN)/image-processor serve $(ARGS)

venv: $(RUN) ## install the package into .venv, which run, test and deploy.sh do by themselves

# The checks of style use one core each, and so do the installations of a first run: several at a time.
test: ## everything: style, types, all tests
	@$(MAKE) --no-print-directory -j 3 types rules environments
	@$(MAKE) --no-print-directory unit

check: lint ## the fast tier: style, types, and the tests of planning, ingest and delivery
	$(BIN)/python -m pytest -q -n $(TEST_WORKERS) $(FAST)

coverage: $(DEV) ## the tests that need no emulated AWS, under coverage, with the floor of pyproject.toml
	$(BIN)/python -m pytest -q -n $(TEST_WORKERS) --cov --cov-report= $(addprefix --ignore=,$(ELSEWHERE))
	$(BIN)/python -m coverage report

lint: style $(TEMPLATE_LINTED) ## style, types, import directions, and the template after a change

style: rules types ## style, types, import directions, spelling and plain English

rules: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python docs/lint_prose.py

types: $(DEV)
	$(BIN)/mypy

environments: $(DEV) $(AWS) $(TEMPLATE) $(SAM) $(SITE) ## install what the tests need

unit: environments ## the tests alone; PYTEST_ARGS="-k name" narrows them
ifeq ($(PYTEST_ARGS),)
	$(BIN)/python -m pytest -n $(TEST_WORKERS)
else
	$(BIN)/python -m pytest $(PYTEST_ARGS)
endif

format: $(DEV) ## rewrite the code in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(DEV) ## speed and memory beside sharp, thumbor, nginx, ipx in the same run (README lists what it needs); ARGS="engine memory"
	-@$(MAKE) --no-print-directory $(AWS) # what these two lack, the parts that need it report
	-@$(MAKE) --no-print-directory $(BENCH)
	$(BIN)/python -m benchmarks $(ARGS)

stress: $(DEV) $(AWS) $(TEMPLATE) $(SAM) ## slow campaigns: 5,000 histories, 10,000 mutations, fuzzing, the arm64 package under QEMU (mmdebstrap, qemu-user-static)
	-@$(MAKE) --no-print-directory $(STRESS) $(BENCH) # atheris and thumbor do not support every Python; their tests say so
	STRESS=1 $(BIN)/python -m pytest -n0 --durations=5 tests/stress $(LONGER) $(PYTEST_ARGS)

mutation: $(DEV) $(MUTATION) ## mutation testing of ingest, renditions and delivery/url; ARGS="image_processor.ingest.plan*" narrows it
	-PYTHONPATH="$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
	    .venv-mutation/bin/python -m mutmut run $(ARGS)
	.venv-mutation/bin/python -m mutmut results

docs: $(DEV) ## draw the pictures of docs/ again, and write the schema of events
	$(BIN)/python docs/draw_architecture.py
	$(BIN)/python docs/draw_aws_diagram.py
	$(BIN)/python docs/draw_transformations.py
	$(BIN)/python docs/write_cookbook.py
	$(BIN)/python docs/write_event_schema.py
	$(BIN)/python docs/write_reference.py

screenshots: $(DEV) ## take the pictures of the studio in docs/studio again; needs Chromium
	$(BIN)/python docs/draw_studio.py

gallery: $(DEV) ## every operation on one photograph, into build/gallery.html and .png; ARGS=photo.jpg
	$(BIN)/python docs/draw_gallery.py $(ARGS)

edge: $(RUN) deployment/edge/node_modules/.package-lock.json ## generate the CloudFront function in deployment/template.yaml
	$(BIN)/python deployment/edge/generate.py

deployment/edge/node_modules/.package-lock.json: deployment/edge/package-lock.json
	npm ci --prefix deployment/edge --no-audit --no-fund

site: $(SITE) ## the documentation as a site in build/site/html; a broken link is an error
	$(BIN)/python website/stage.py
	cd build/site && ../../.venv-site/bin/zensical build --strict --clean

studio: $(RUN) studio/node_modules/.package-lock.json ## build the web page in src/image_processor/web from studio/
	$(BIN)/python studio/generate.py

clients: $(DEV) clients/typescript/node_modules/.package-lock.json ## generate the clients' models, tables and types, and build the npm package
	$(BIN)/python clients/generate_clients.py
	npm run --prefix clients/typescript build

clients/typescript/node_modules/.package-lock.json: clients/typescript/package-lock.json
	npm ci --prefix clients/typescript --no-audit --no-fund

studio/node_modules/.package-lock.json: studio/package-lock.json
	npm ci --prefix studio --no-audit --no-fund

FUNCTION ?= process
ARCH     ?= arm64
WITH     ?=
package: ## zip of a Lambda function into dist/; FUNCTION=process, deliver, api, reconcile, invalidate or publish, ARCH=arm64 or x86_64, WITH=heic
	$(PYTHON) deployment/build.py $(FUNCTION) --arch $(ARCH) --into build/$(FUNCTION)-$(ARCH) \
	    $(addprefix --with ,$(WITH)) --zip dist/$(FUNCTION)-$(ARCH).zip

sbom: $(RUN) ## bills of materials (CycloneDX) into dist/, checked against what is known of vulnerabilities
	$(BIN)/python deployment/sbom.py

audit: $(DEV) ## compare the pinned Python packages with advisories; DATABASE=all.zip (OSV's format) SOURCE="what it is"
	$(BIN)/python deployment/python_audit.py "$(DATABASE)" --source "$(SOURCE)"

release: $(DEV) ## packages, template, bills of materials and checksums of a release, into dist/; ARGS="--arch arm64"
	$(BIN)/python deployment/release.py $(ARGS)

sam: $(SAM) ## install the SAM CLI that deployment/deploy.sh can use

lock: ## pin the requirements anew (needs uv on the PATH)
	sh requirements/lock.sh

clean: ## remove what the tasks made, but not ./data
	rm -rf $(VENV) .venv-aws .venv-template .venv-stress .venv-mutation .venv-sam .venv-site .venv-bench build dist mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(f"expected Python 3.11 or newer for PYTHON, got {v.major}.{v.minor}: try make PYTHON=python3.12") if v < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.build: requirements/build.txt | $(VENV)/bin/python
	$(PIP) -r requirements/build.txt
	@touch $@

$(RUN): $(VENV)/.build
	$(PIP) --no-build-isolation -r requirements/server.txt
	$(BIN)/pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(DEV): $(RUN)
	$(PIP) --no-build-isolation -r requirements/dev.txt
	@touch $@

$(TEMPLATE_LINTED): $(TEMPLATE) | $(DEV)
	$(BIN)/python -m pytest -q $(TEMPLATE_LINTERS)
	@rm -f .venv-template/.linted-*
	@touch $@

$(AWS): | $(VENV)/bin/python
	@$(BIN)/python tests/aws/install.py $@

# Without dependencies: the pins are complete, and pip does not see that a pin with extras is the
# same package as one without (boto3-stubs).
$(TEMPLATE) $(STRESS) $(MUTATION) $(SAM) $(SITE) $(BENCH): | $(VENV)/bin/python
	rm -rf $(@D)
	$(BIN)/python -m venv $(@D)
	$(@D)/bin/pip --disable-pip-version-check install --quiet --no-deps --require-hashes \
	    -r requirements/$(patsubst .venv-%,%,$(@D)).txt
	@touch $@
