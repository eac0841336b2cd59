/* Messages, and what holds one for Python. */

/* What holds a message for Python. */
typedef struct tnng_message_ref {
    nng_msg *msg;    /* what is here; NULL when it has been sent; atomic (message_ref.c) */
    nng_msg *viewed; /* what was here, a copy of it was sent, and views still show it */
    struct tnng_message_ref *base; /* the box of a view: where its message is */
    size_t size;                   /* the box of a view: what it shows */
    int refs;                      /* atomic */
} tnng_message_ref;

nng_msg *tnng_msg_new(const char *, size_t);
void nng_msg_free(nng_msg *);
/* The same, for one whose content has been copied out: its memory may serve the next message. */
void tnng_msg_recycle(nng_msg *);
/* An empty one; NULL when there is no memory. */
tnng_message_ref *tnng_message_ref_new(void);
/* Gives a box back; its message is freed when no view of it is left. */
void tnng_message_unref(tnng_message_ref *);
/* Makes an empty box that of a view; answers where the body is, or 0 when that has been sent. */
uintptr_t tnng_message_ref_view(tnng_message_ref *, tnng_message_ref *view);
/* Copies a body and a header into a new message; NNG_ENOMEM, NNG_EINVAL for the header's length. */
int tnng_message_ref_fill(
    tnng_message_ref *, const char *, size_t, const char *header, size_t length);
/* The size of the body; negative when the message has been sent. */
int64_t tnng_message_ref_size(tnng_message_ref *);
/* Copies the header out if there is room; its size, negative when the message has been sent. */
int64_t tnng_message_ref_header(tnng_message_ref *, char *, size_t room);
/* Takes the message out, or a copy while somebody looks at it: 0, TNNG_GONE, or NNG_ENOMEM when
 * there is no memory for the copy, and then the message stays. */
int tnng_message_ref_take(tnng_message_ref *, nng_msg **);
/* Gives back what was taken out and not sent; needs no memory. */
void tnng_message_ref_restore(tnng_message_ref *, nng_msg *);
size_t nng_msg_len(const nng_msg *);
const char *tnng_msg_chars(nng_msg *);
uint32_t tnng_msg_pipe(const nng_msg *);
