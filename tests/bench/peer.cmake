add_executable(peer_bench peer_bench.cpp)
target_include_directories(peer_bench PRIVATE ${PROJECT_SOURCE_DIR}/lib ${PROJECT_SOURCE_DIR})
target_link_libraries(peer_bench PRIVATE tarn tarn_settings Boost::headers)
