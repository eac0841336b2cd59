/* Messages, and the references through which Python holds them. */

/* A counted reference to a message, or a view of one. */
typedef struct tnng_message_ref {
    nng_msg *msg;                  /* NULL when it has been sent; atomic (message_ref.c) */
    nng_msg *viewed;               /* a copy of it was sent while views showed it */
    struct tnng_message_ref *base; /* of a view: the reference it shows */
    size_t size;                   /* of a view: its length */
    int refs;                      /* atomic */
} tnng_message_ref;

nng_msg *tnng_msg_new(const char *, size_t);
void nng_msg_free(nng_msg *);
/* Frees a message whose content was copied, or keeps its memory for the next message. */
void tnng_msg_recycle(nng_msg *);
/* An empty reference; NULL when there is no memory. */
tnng_message_ref *tnng_message_ref_new(void);
/* The message is freed when its last view is gone too. */
void tnng_message_unref(tnng_message_ref *);
/* Makes an empty reference a view; returns the address of the body, or 0 when it has been sent. */
uintptr_t tnng_message_ref_view(tnng_message_ref *, tnng_message_ref *view);
/* Copies a body and a header into a new message; NNG_ENOMEM, NNG_EINVAL for the header's length. */
int tnng_message_ref_fill(
    tnng_message_ref *, const char *, size_t, const char *header, size_t length);
/* The size of the body; negative when the message has been sent. */
int64_t tnng_message_ref_size(tnng_message_ref *);
/* Copies the header out if there is room; its size, negative when the message has been sent. */
int64_t tnng_message_ref_header(tnng_message_ref *, char *, size_t room);
/* Takes the message, or a copy while a view shows it. Returns 0, TNNG_GONE, or NNG_ENOMEM when
 * there is no memory for the copy; then the message stays. */
int tnng_message_ref_take(tnng_message_ref *, nng_msg **);
/* Puts back a message that was taken and not sent; needs no memory. */
void tnng_message_ref_restore(tnng_message_ref *, nng_msg *);
size_t nng_msg_len(const nng_msg *);
const char *tnng_msg_chars(nng_msg *);
uint32_t tnng_msg_pipe(const nng_msg *);
