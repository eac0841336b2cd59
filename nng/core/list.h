/* The one list: doubly linked through `next` and `previous` of its items, with `first` and `last`
 * of whatever holds it. And a chain: items linked through one member, from a head. The lock is the
 * holder's. */
#ifndef TNNG_LIST_H
#define TNNG_LIST_H

#include <stddef.h>

#define TNNG_LIST_APPEND(list, item)                                                               \
    do {                                                                                           \
        (item)->next = NULL;                                                                       \
        (item)->previous = (list)->last;                                                           \
        if ((list)->last == NULL) {                                                                \
            (list)->first = (item);                                                                \
        } else {                                                                                   \
            (list)->last->next = (item);                                                           \
        }                                                                                          \
        (list)->last = (item);                                                                     \
    } while (0)

#define TNNG_LIST_PREPEND(list, item)                                                              \
    do {                                                                                           \
        (item)->next = (list)->first;                                                              \
        (item)->previous = NULL;                                                                   \
        if ((list)->first == NULL) {                                                               \
            (list)->last = (item);                                                                 \
        } else {                                                                                   \
            (list)->first->previous = (item);                                                      \
        }                                                                                          \
        (list)->first = (item);                                                                    \
    } while (0)

#define TNNG_LIST_REMOVE(list, item)                                                               \
    do {                                                                                           \
        if ((item)->previous == NULL) {                                                            \
            (list)->first = (item)->next;                                                          \
        } else {                                                                                   \
            (item)->previous->next = (item)->next;                                                 \
        }                                                                                          \
        if ((item)->next == NULL) {                                                                \
            (list)->last = (item)->previous;                                                       \
        } else {                                                                                   \
            (item)->next->previous = (item)->previous;                                             \
        }                                                                                          \
        (item)->next = (item)->previous = NULL;                                                    \
    } while (0)

/* `head` points to the pointer to the first item; the item is in the chain. */
#define TNNG_SLIST_REMOVE(head, item, link)                                                        \
    do {                                                                                           \
        __typeof__(item) *slist_at = (head);                                                       \
        while (*slist_at != (item)) {                                                              \
            slist_at = &(*slist_at)->link;                                                         \
        }                                                                                          \
        *slist_at = (item)->link;                                                                  \
    } while (0)

#endif
