# What grows with the number of ranks and disks (docs/SCALING.md).
add_executable(placement_scale placement_scale.cpp)
target_include_directories(placement_scale PRIVATE ${PROJECT_SOURCE_DIR}/tests)
target_link_libraries(placement_scale PRIVATE tarn_placement tarn_settings)
add_executable(scale_ranks scale_ranks.cpp)
target_link_libraries(scale_ranks PRIVATE tarn tarn_settings)
