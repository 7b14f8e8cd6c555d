# Coffer. Two commands are enough to begin: make run, make test. What is longer than a line lives in scripts/.
.PHONY: run test check fuzz bench soak cli desktop vault fmt clean

FUZZTIME ?= 10s

run:     ; @scripts/run.sh
test:    ; @scripts/test.sh
check:   ; @scripts/check.sh
fuzz:    ; @FUZZTIME=$(FUZZTIME) scripts/fuzz.sh
bench:   ; @scripts/bench.sh
soak:    ; @scripts/soak_vault.sh
cli:     ; @scripts/build.sh cli
desktop: ; @scripts/build.sh desktop
vault:   ; @scripts/build.sh vault
fmt:     ; @scripts/check.sh fmt
clean:   ; @chmod -R u+w build 2>/dev/null; rm -rf build
