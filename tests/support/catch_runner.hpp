// catch_runner.hpp - Catch2's session behind a function, so that its code (half a minute of compiling) is compiled once.
#pragma once

namespace tarn::tests {

/// Runs the test cases that the arguments choose. @return how many failed.
int run_catch(int argc, char** argv);

}  // namespace tarn::tests
