# Where a base is looked for last: the assets of the tree that the program was built from.
target_compile_definitions(dlm_bases PRIVATE DLM_SOURCE_ROOT="${CMAKE_SOURCE_DIR}")
