/* What devices say of themselves. */
#include "cudasim/test_cudasim.h"

#include <string>

namespace
{

/* The same in every process of a machine, so that ranks can find out that they share one. */
void test_bus_ids()
{
    bool right = true;
    for (int device = 0; device < 3; device++) {
        char text[16], next[16];
        int found = -1;
        CUDA(cudaDeviceGetPCIBusId(text, sizeof text, device));
        CUDA(cudaDeviceGetPCIBusId(next, sizeof next, device + 1));
        CUDA(cudaDeviceGetByPCIBusId(&found, text));
        right = right && found == device && std::string(text) != next;
    }
    check(right, "each device has an id of its own on the bus");
    char text[8];
    check(cudaDeviceGetPCIBusId(text, sizeof text, 0) == cudaErrorInvalidValue,
          "which wants 13 bytes");
    (void)cudaGetLastError();
}

void test_peers()
{
    int can = 1, value = 1;
    CUDA(cudaDeviceCanAccessPeer(&can, 0, 1));
    CUDA(cudaDeviceGetP2PAttribute(&value, cudaDevP2PAttrAccessSupported, 0, 1));
    check(can == 0 && value == 0, "devices do not reach each other's memory");
    check(cudaDeviceGetP2PAttribute(&value, cudaDevP2PAttrAccessSupported, 1, 1) ==
              cudaErrorInvalidValue,
          "and a pair is of two");
    (void)cudaGetLastError();
}

void test_priorities()
{
    int least = 0, greatest = 0;
    cudaStream_t stream;
    CUDA(cudaDeviceGetStreamPriorityRange(&least, &greatest));
    check(least > greatest &&
              cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, greatest) == cudaSuccess,
          "streams have priorities, the lower the more urgent");
    CUDA(cudaStreamDestroy(stream));
}

} // namespace

void test_device_questions()
{
    test_bus_ids();
    test_peers();
    test_priorities();
}
