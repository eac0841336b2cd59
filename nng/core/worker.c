/* Helper threads. Calls of nng that may block (dialling, closing, looking up names) are jobs: a
 * helper thread runs them, and the calls that wait for a job finish like every other operation.
 *
 * The memory of a job is part of the socket or endpoint it belongs to, and two threads are made
 * with the first socket and stay: a close needs nothing that may be missing when its time has come.
 *
 * Jobs are of two kinds. A prompt one (a close) usually takes a millisecond, but on an old nng it
 * may hang for good. A slow one (a dial, a lookup) may take minutes. Two rules keep them from
 * starving each other. A slow job begins only while another thread stands by. A thread that leaves
 * no more of them standing by than there are slow jobs first makes another; the threads beyond the
 * first two end when they are idle. So that a burst of closes does not make a thread each, no more
 * than four prompt jobs run at once, unless one has waited for 50 ms: then those that run are taken
 * for stuck. */
#include <stdlib.h>

#include "core/core.h"

enum { STAYING = 2, PROMPT_AT_ONCE = 4 };

#define IMPATIENT_AFTER INT64_C(50000000) /* nanoseconds */
#define STUCK_AFTER     INT64_C(1000000000)

typedef struct {
    tnng_job *first, *last;
} queue;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* all of this, and every job */
static pthread_cond_t job_queued, job_ended;             /* in monotonic time */
static queue prompt, slow, running;                      /* running: prompt jobs */
static int slow_queued, running_prompt;                  /* so many */
static int threads, idle; /* a thread that is being made is idle already */
static bool ready;        /* the first threads are there */

/* With the lock held, as the next. */
static void worker_append(tnng_job *job)
{
    TNNG_LIST_APPEND(job->kind->slow ? &slow : &prompt, job);
    slow_queued += job->kind->slow;
}

static void worker_remove(tnng_job *job)
{
    TNNG_LIST_REMOVE(job->kind->slow ? &slow : &prompt, job);
    slow_queued -= job->kind->slow;
}

static void *worker_run(void *);

/* With the lock held. */
static bool worker_add_thread(void)
{
    threads++;
    idle++;
    if (tnng_thread_start(worker_run, NULL)) {
        return true;
    }
    threads--;
    idle--;
    return false;
}

/* With the lock held: threads whose job will end soon, as far as one can tell. */
static int worker_prompt_threads(void)
{
    int count = idle;
    int64_t now = tnng_now();

    for (tnng_job *job = running.first; job != NULL; job = job->next) {
        count += now - job->since < STUCK_AFTER;
    }
    return count;
}

/* [job] With the lock held: what this thread is to do, or NULL; then `until` says how long to wait
 * for it, where that matters. */
static tnng_job *worker_next_job(int64_t *until)
{
    tnng_job *job = prompt.first;

    *until = -1;
    if (job != NULL) {
        int64_t impatient = job->since + IMPATIENT_AFTER;
        if (running_prompt < PROMPT_AT_ONCE || tnng_now() >= impatient) {
            worker_remove(job);
            return job;
        }
        *until = impatient;
    }
    if (slow.first != NULL && idle > 1) {
        job = slow.first;
        worker_remove(job);
        return job;
    }
    return NULL;
}

/* With the lock held. */
static void worker_job_started(tnng_job *job)
{
    job->stage = JOB_RUNNING;
    job->since = tnng_now();
    if (!job->kind->slow) {
        TNNG_LIST_APPEND(&running, job);
        running_prompt++;
    }
}

static void worker_enqueue(tnng_job *);

/* A call that waits for a job. */
typedef struct {
    tnng_op op;
    tnng_job *job;      /* alive until the op has finished */
    tnng_op_list *list; /* where it waits */
} job_op;

/* With the lock held, as the next two. */
static void worker_add_waiter(tnng_op_list *list, tnng_op *op)
{
    ((job_op *) op)->list = list;
    TNNG_LIST_APPEND(list, op);
}

static void worker_finish_ops(tnng_job *job, int code)
{
    tnng_op_list_finish(&job->waiting, code);
    pthread_cond_broadcast(&job_ended);
}

/* The owner of the job is still held. */
static void worker_job_ended(tnng_job *job, int code)
{
    if (!job->kind->slow) {
        TNNG_LIST_REMOVE(&running, job);
        running_prompt--;
    }
    job->code = code;
    job->stage = job->kind->once ? JOB_DONE : JOB_IDLE;
    if (job->then != NULL && job->then->stage == JOB_IDLE) {
        worker_enqueue(job->then);
    }
    job->then = NULL;
    worker_finish_ops(job, code);
    if (job->rerun_waiting.first != NULL) {
        for (tnng_op *op; (op = job->rerun_waiting.first) != NULL;) {
            TNNG_LIST_REMOVE(&job->rerun_waiting, op);
            worker_add_waiter(&job->waiting, op);
        }
        worker_enqueue(job);
    }
}

static void worker_ref_owner(tnng_job *job)
{
    tnng_socket_ref(job->socket);
    if (job->kind->ref != NULL) {
        job->kind->ref(job->owner);
    }
}

static void worker_unref_owner(const tnng_job_kind *kind, tnng_socket *socket, void *owner)
{
    if (kind->unref != NULL) {
        kind->unref(owner);
    }
    tnng_socket_unref(socket);
}

/* [job] */
static void *worker_run(void *unused)
{
    tnng_job *job;
    int64_t until;

    (void) unused;
    tnng_thread_set_name("trionng:helper");
    pthread_mutex_lock(&lock);
    for (;;) {
        if ((job = worker_next_job(&until)) == NULL) {
            if (idle > STAYING) {
                break;
            }
            tnng_cond_wait(&job_queued, &lock, until);
            continue;
        }
        const tnng_job_kind *kind = job->kind;
        tnng_socket *socket = job->socket;
        void *owner = job->owner;
        worker_job_started(job);
        if (--idle <= slow_queued) {
            worker_add_thread(); /* without one, what comes now waits until this job has ended */
        }
        if (prompt.first != NULL || slow.first != NULL) {
            pthread_cond_signal(&job_queued);
        }
        pthread_mutex_unlock(&lock);
        int code = kind->run(job);
        pthread_mutex_lock(&lock);
        worker_job_ended(job, code);
        idle++;
        pthread_mutex_unlock(&lock);
        worker_unref_owner(kind, socket, owner);
        pthread_mutex_lock(&lock);
    }
    threads--;
    idle--;
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* With the lock held. */
static void worker_enqueue(tnng_job *job)
{
    worker_ref_owner(job);
    job->stage = JOB_QUEUED;
    job->since = tnng_now();
    worker_append(job);
    pthread_cond_signal(&job_queued);
}

/* With the lock held: whether one more job of this kind will be run; makes a thread if need be. */
static bool worker_has_thread_for(const tnng_job *job)
{
    int spoken_for = slow_queued + job->kind->slow;

    return idle > spoken_for || worker_add_thread() || worker_prompt_threads() > spoken_for;
}

void tnng_job_init(tnng_job *job, const tnng_job_kind *kind, tnng_socket *socket, void *owner)
{
    *job = (tnng_job){.kind = kind, .socket = socket, .owner = owner};
}

/* [caller] The job goes on without this call. One that no thread will ever begin is not left to
 * itself: the call ends with TNNG_NO_THREADS. */
static int worker_cancel(tnng_op *op)
{
    bool unqueued = false;
    int outcome = TNNG_CANCEL_DONE;

    pthread_mutex_lock(&lock);
    if (op->stage == OP_FINISHED) {
        pthread_mutex_unlock(&lock);
        return TNNG_CANCEL_LATE;
    }
    tnng_job *job = ((job_op *) op)->job;
    const tnng_job_kind *kind = job->kind;
    tnng_socket *socket = job->socket;
    void *owner = job->owner;
    if (job->stage == JOB_QUEUED && (kind->slow || !worker_has_thread_for(job))) {
        worker_remove(job);
        job->stage = JOB_IDLE;
        unqueued = true;
    }
    if (unqueued && !kind->slow) {
        worker_finish_ops(job, TNNG_NO_THREADS);
        outcome = TNNG_CANCEL_LATE;
    } else {
        TNNG_LIST_REMOVE(((job_op *) op)->list, op);
        worker_ref_owner(job);
    }
    pthread_mutex_unlock(&lock);
    if (unqueued) {
        worker_unref_owner(kind, socket, owner);
    }
    if (outcome == TNNG_CANCEL_DONE) {
        if (kind->interrupt != NULL && !unqueued) {
            kind->interrupt(job);
        }
        worker_unref_owner(kind, socket, owner);
    }
    return outcome;
}

static const tnng_op_kind job_kind = {.cancel = worker_cancel, .free = tnng_op_free_memory};

/* [caller] An op that may wait for a job: its own, made with it, or another. */
static tnng_op *worker_op_for(tnng_job *job, const tnng_call *call)
{
    tnng_op *op = atomic_exchange(&job->preallocated_op, NULL);

    if (op == NULL && (op = calloc(1, sizeof(job_op))) == NULL) {
        return NULL;
    }
    tnng_op_init(op, &job_kind, job->socket, call);
    tnng_socket_ref(op->socket);
    ((job_op *) op)->job = job;
    return op;
}

bool tnng_job_preallocate_op(tnng_job *job)
{
    tnng_op *op = calloc(1, sizeof(job_op));

    atomic_store(&job->preallocated_op, op);
    return op != NULL;
}

/* [any] The memory of the job is about to go. */
void tnng_job_free_preallocated_op(tnng_job *job)
{
    free(atomic_exchange(&job->preallocated_op, NULL));
}

/* With the lock held: TNNG_PARKED when the job is under way. */
static int worker_queue_job(tnng_job *job, bool even_without_thread)
{
    if (job->stage == JOB_DONE) {
        return job->code;
    }
    if (job->stage == JOB_IDLE) {
        if (!worker_has_thread_for(job) && !even_without_thread) {
            return TNNG_NO_THREADS;
        }
        worker_enqueue(job);
    }
    return TNNG_PARKED;
}

/* [caller] Queues the job, unless it is under way or has been done. No call waits for it. One
 * that is queued without a thread runs as soon as one can be had. */
int tnng_job_enqueue(tnng_job *job, bool even_without_thread)
{
    pthread_mutex_lock(&lock);
    int code = worker_queue_job(job, even_without_thread);
    pthread_mutex_unlock(&lock);
    return code == TNNG_PARKED ? 0 : code;
}

/* [caller] The same, and waits for its end, when there is a queue; then the call has been counted
 * as parked. */
int tnng_job_submit(tnng_job *job, const tnng_call *call)
{
    tnng_op *op;

    if (call->cq == NULL) {
        return tnng_result_set(call->result, tnng_job_enqueue(job, true), NULL);
    }
    if ((op = worker_op_for(job, call)) == NULL) {
        tnng_owner_exit(job->socket);
        return tnng_call_finish(call, NNG_ENOMEM);
    }
    pthread_mutex_lock(&lock);
    int code = worker_queue_job(job, false);
    if (code == TNNG_PARKED) {
        op->stage = OP_RUNNING;
        worker_add_waiter(
            job->kind->rerun && job->stage == JOB_RUNNING ? &job->rerun_waiting : &job->waiting,
            op);
        tnng_op_park(op, call->result);
    }
    pthread_mutex_unlock(&lock);
    if (code != TNNG_PARKED) {
        tnng_op_free(op);
        tnng_result_set(call->result, code, NULL);
    }
    return tnng_waiter_submitted(call->cq, NULL, code);
}

/* [caller] As soon as the job is over, or now. */
void tnng_job_chain(tnng_job *job, tnng_job *then)
{
    pthread_mutex_lock(&lock);
    if (job->stage == JOB_QUEUED || job->stage == JOB_RUNNING) {
        job->then = then;
    } else if (then->stage == JOB_IDLE) {
        worker_has_thread_for(then);
        worker_enqueue(then);
    }
    pthread_mutex_unlock(&lock);
}

/* [caller] NNG_EAGAIN: not yet. */
int tnng_job_wait(tnng_job *job, int milliseconds)
{
    int64_t until = tnng_now() + milliseconds * INT64_C(1000000);

    pthread_mutex_lock(&lock);
    while ((job->stage == JOB_QUEUED || job->stage == JOB_RUNNING) &&
           tnng_cond_wait(&job_ended, &lock, until)) {
    }
    bool ended = job->stage != JOB_QUEUED && job->stage != JOB_RUNNING;
    int code = ended ? job->code : NNG_EAGAIN;
    pthread_mutex_unlock(&lock);
    return code;
}

/* [caller] All threads that are needed, or TNNG_NO_THREADS, and then it can be asked again. */
static int worker_start(int threads_needed)
{
    static pthread_mutex_t once_lock = PTHREAD_MUTEX_INITIALIZER;
    static bool conditions_made;

    pthread_mutex_lock(&once_lock);
    if (!conditions_made) {
        tnng_cond_init(&job_queued);
        tnng_cond_init(&job_ended);
        conditions_made = true;
    }
    if (!ready) {
        pthread_mutex_lock(&lock);
        bool made = true;
        while (made && threads < STAYING) {
            made = worker_add_thread();
        }
        pthread_mutex_unlock(&lock);
        ready = made && tnng_threads_available(threads_needed);
    }
    bool begun = ready;
    pthread_mutex_unlock(&once_lock);
    return begun ? 0 : TNNG_NO_THREADS;
}

int tnng_init(int threads_needed)
{
    tnng_forks_watch();
    return tnng_forked() ? TNNG_FORKED : worker_start(threads_needed);
}
