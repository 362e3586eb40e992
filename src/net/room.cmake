#libcurl's headers only: the library is opened at run time, since linking it would make every start
#of the program load thirty libraries more.
find_path(DLM_CURL_HEADERS curl / curl.h REQUIRED)
    target_include_directories(dlm_net SYSTEM PRIVATE ${DLM_CURL_HEADERS})
        target_link_libraries(dlm_net PRIVATE ${CMAKE_DL_LIBS})
