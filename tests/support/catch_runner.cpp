// catch_runner.cpp - Catch2 itself.
#define CATCH_CONFIG_RUNNER
#include "support/catch_runner.hpp"

#include <catch2/catch.hpp>

int tarn::tests::run_catch(int argc, char** argv) {
  return Catch::Session().run(argc, argv);
}
