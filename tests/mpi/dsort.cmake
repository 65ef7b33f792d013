# dsort on ranks that are threads: needs neither mpirun nor the rest of mpi/.
add_executable(mpi_dsort ${CMAKE_CURRENT_LIST_DIR}/dsort_test.cpp ${CMAKE_CURRENT_LIST_DIR}/dsort_failure_test.cpp ${CMAKE_CURRENT_LIST_DIR}/dsort_exception_test.cpp ${CMAKE_CURRENT_LIST_DIR}/dsort_memory_test.cpp
  ${CMAKE_CURRENT_LIST_DIR}/dsort_by_products_test.cpp ${CMAKE_CURRENT_LIST_DIR}/dsort_orders_test.cpp ${CMAKE_CURRENT_LIST_DIR}/dsort_resume_test.cpp ${CMAKE_CURRENT_LIST_DIR}/dsort_selection_test.cpp ${PROJECT_SOURCE_DIR}/tests/support/allocations.cpp)
target_include_directories(mpi_dsort PRIVATE ${PROJECT_SOURCE_DIR}/tests ${PROJECT_SOURCE_DIR})
target_link_libraries(mpi_dsort PRIVATE tests_main tarn_dsort tarn_settings)
add_test(NAME mpi_dsort COMMAND mpi_dsort)

# The same in real jobs, with other tools reading the output.
add_executable(dsort_ranks ${CMAKE_CURRENT_LIST_DIR}/dsort_ranks.cpp)
target_include_directories(dsort_ranks PRIVATE ${PROJECT_SOURCE_DIR}/lib)
target_link_libraries(dsort_ranks PRIVATE tarn tarn_settings ${TARN_TEST_RUNTIME})
add_test(NAME mpi_dsort_ranks COMMAND ${CMAKE_CURRENT_LIST_DIR}/dsort_ranks.sh $<TARGET_FILE:dsort_ranks>)
set_tests_properties(mpi_dsort_ranks PROPERTIES TIMEOUT 600 PROCESSORS 2 LABELS mpi)
