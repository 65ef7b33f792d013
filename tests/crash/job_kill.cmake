# A rank of a whole job is killed at 20 moments.
add_executable(crash_job_kill ${CMAKE_CURRENT_LIST_DIR}/job_kill.cpp)
target_link_libraries(crash_job_kill PRIVATE tarn tarn_settings ${TARN_TEST_RUNTIME})
add_test(NAME crash_job_kill COMMAND ${CMAKE_CURRENT_LIST_DIR}/job_kill.sh $<TARGET_FILE:crash_job_kill> 20)
set_tests_properties(crash_job_kill PROPERTIES TIMEOUT 600 LABELS mpi)
