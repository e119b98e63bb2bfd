# The CUDA device, libhone-cuda.so: built where the CUDA toolkit and the headers of cuDNN 9 are found; without them hone is
# whole, and a libhone-cuda.so that is put beside it later is found. cuDNN and cuBLASLt are opened at run time.
option(HONE_CUDA "build the CUDA device where the toolkit is found" ON)
set(HONE_CUDA_ARCHITECTURES "80-real;90-real;100-real;120" CACHE STRING "GPUs to compile for, as CMAKE_CUDA_ARCHITECTURES takes them")
set(HONE_CUDA_FOUND FALSE)
if(HONE_CUDA)
  find_package(CUDAToolkit 12 QUIET)
  find_path(CUDNN_INCLUDE cudnn_backend.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
  if(CUDAToolkit_FOUND AND CUDNN_INCLUDE AND EXISTS "${CUDAToolkit_NVCC_EXECUTABLE}")
    set(CMAKE_CUDA_COMPILER ${CUDAToolkit_NVCC_EXECUTABLE})
    set(CMAKE_CUDA_ARCHITECTURES ${HONE_CUDA_ARCHITECTURES})
    set(CMAKE_CUDA_STANDARD 17)
    enable_language(CUDA)
    set(HONE_CUDA_FOUND TRUE)
    set(HONE_CUDA_INCLUDES ${CUDAToolkit_INCLUDE_DIRS} ${CUDNN_INCLUDE})
  endif()
endif()

# What the device is made of: host code in C and kernels in .cu files. The tests build the same for no device at all.
file(GLOB HONE_CUDA_C CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/device/cuda/*.c)
file(GLOB HONE_CUDA_KERNELS CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/device/cuda/*.cu)

function(hone_add_cuda)
  if(NOT HONE_CUDA_FOUND)
    return()
  endif()
  add_library(hone_cuda MODULE ${HONE_CUDA_C} ${HONE_CUDA_KERNELS})
  set_target_properties(hone_cuda PROPERTIES PREFIX "lib" OUTPUT_NAME hone-cuda CUDA_RUNTIME_LIBRARY Static
    C_VISIBILITY_PRESET hidden CUDA_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden)
  target_include_directories(hone_cuda PRIVATE include src)
  target_include_directories(hone_cuda SYSTEM PRIVATE ${CUDNN_INCLUDE} ${CUDAToolkit_INCLUDE_DIRS})
  target_compile_options(hone_cuda PRIVATE
    "$<$<COMPILE_LANGUAGE:C>:-Wall;-Wextra;-Wpedantic;-Wshadow;-Wconversion;-Wno-sign-conversion;-ffp-contract=off>"
    "$<$<COMPILE_LANGUAGE:CUDA>:--Werror=all-warnings;-Xcompiler=-Wall,-Wextra,-Wno-missing-field-initializers>")
  target_link_options(hone_cuda PRIVATE -Wl,--as-needed -Wl,-z,defs)
  target_link_libraries(hone_cuda PRIVATE hone_static CUDA::cudart_static)
endfunction()
