# Third-party packages, each used in one folder (tests/tidy checks it).
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
set(MPI_CXX_SKIP_MPICXX ON)  # not the C++ bindings that MPI 3 has dropped
find_package(MPI REQUIRED COMPONENTS CXX)
find_package(Boost 1.81 REQUIRED COMPONENTS json url program_options system)
find_package(OpenSSL REQUIRED)
find_package(spdlog REQUIRED)
find_package(prometheus-cpp REQUIRED CONFIG COMPONENTS core)
find_package(pugixml REQUIRED)
find_package(LibArchive REQUIRED)
find_package(tl-expected REQUIRED CONFIG)
pkg_check_modules(lmdb REQUIRED IMPORTED_TARGET GLOBAL lmdb)
pkg_check_modules(xxhash REQUIRED libxxhash)
