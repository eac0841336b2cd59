/* A service on Rep0 or Respondent0: its workers, contexts that take requests and answer them. */

/* Beside the codes of completion_queue.h. */
enum {
    TNNG_DRAINED = -20, /* a draining service has nothing left to hand out */
    TNNG_SLOW =
        -21, /* slow connections were closed: call tnng_service_take_slow, and receive again */
};

typedef struct tnng_service tnng_service;

typedef struct {
    uint64_t received;  /* requests taken from nng */
    uint64_t answered;  /* replies nng accepted, or keeps until their connection can take them */
    uint64_t abandoned; /* requests taken and not answered */
    uint64_t slow;      /* connections that were closed because they do not read */
    int32_t ready;      /* taken from nng, not yet by a worker */
    int32_t taken;      /* being answered */
    int32_t replying;   /* replies that wait for their connection */
} tnng_service_stats;

/* On a socket's own context. A connection that has `max_unread` replies to read, asks for more, and
 * reads none for a second, is closed. */
int tnng_service_open(tnng_service **, tnng_ctx *, int workers, int max_unread);
/* Takes no new request. When every taken request is handed out, receives return TNNG_DRAINED. */
void tnng_service_drain(tnng_service *);
/* Abandons the requests that were not answered. Workers get NNG_ECLOSED from now on. */
void tnng_service_close(tnng_service *);
void tnng_service_free(tnng_service *);
void tnng_service_stats_read(tnng_service *, tnng_service_stats *);
/* The next pipe that was closed because it does not read; 0: there is none, or it was forgotten. */
uint32_t tnng_service_take_slow(tnng_service *);

/* A context for one worker, of at most `workers`. tnng_recv takes the next request and abandons one
 * that was not answered. A send answers the request, and never waits. tnng_send_recv_bytes answers
 * it and receives the next. */
int tnng_service_worker(tnng_service *, tnng_ctx **);
/* The worker's request gets no reply: it needs none (`answered`), or it is abandoned. */
void tnng_end_request(tnng_ctx *worker, bool answered);
