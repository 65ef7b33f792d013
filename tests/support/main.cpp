// main.cpp - of tests without a main of their own.
#include "support/catch_runner.hpp"

int main(int argc, char** argv) {
  return tarn::tests::run_catch(argc, argv);
}
