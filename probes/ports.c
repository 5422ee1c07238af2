#include "probes/ports.h"

#include "common/fd.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define TCP_LISTEN 10 /* the kernel's state; linux/tcp.h and netinet/tcp.h exclude each other */

static bool is_open(unsigned char family, uint16_t port)
{
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 question;
    } request = {
        .header = {.nlmsg_len = sizeof(request),
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .question = {.sdiag_family = family,
                     .sdiag_protocol = IPPROTO_TCP,
                     .idiag_states = 1U << TCP_LISTEN,
                     .id = {.idiag_sport = htons(port)}},
    };
    union {
        struct nlmsghdr header;
        char bytes[8192];
    } answer = {.header.nlmsg_type = NLMSG_DONE};
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

    /* The kernel answers in the call that asks; the first message is a socket, or the end. */
    if (fd >= 0 && send(fd, &request, sizeof(request), 0) > 0)
        (void)recv(fd, answer.bytes, sizeof(answer.bytes), MSG_DONTWAIT);
    fd_close(&fd);
    return answer.header.nlmsg_type == SOCK_DIAG_BY_FAMILY;
}

bool ports_is_open(uint16_t port)
{
    return is_open(AF_INET, port) || is_open(AF_INET6, port);
}
