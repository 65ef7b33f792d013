# environment.sh - the environment that tests and examples run in; to be sourced, by bash.
# The presets in CMakePresets.json set the same variables for `ctest --preset`.
# shellcheck shell=bash

support=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Open MPI: root is all there is in a container; more ranks than cores are the rule in tests, so a
# waiting rank must give its core away; CMA needs ptrace rights that containers do not have.
export OMPI_ALLOW_RUN_AS_ROOT=1
export OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_mpi_yield_when_idle=1
export OMPI_MCA_btl_vader_single_copy_mechanism=none
# One machine: no network card is looked for, none is missed.
export OMPI_MCA_btl_base_warn_component_unused=0
export OMPI_MCA_oob_tcp_if_include=lo
export OMPI_MCA_btl_tcp_if_include=lo

# Sanitizers: stop at the first finding. Open MPI keeps memory until the process ends.
export ASAN_OPTIONS=abort_on_error=0:detect_stack_use_after_return=1:strict_string_checks=1
export LSAN_OPTIONS=suppressions=$support/lsan.supp:print_suppressions=0
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export TSAN_OPTIONS=suppressions=$support/tsan.supp:halt_on_error=1:second_deadlock_stack=1:die_after_fork=0
