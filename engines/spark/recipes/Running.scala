package weir

import org.apache.spark.sql.Encoders
import org.apache.spark.sql.streaming._

/** A value and its time. */
case class Timed(us: Long, v: Option[Long])

/** All aggregates of a key, whichever were asked for, with id and time of the event that changed them. */
case class Total(
    k: String,
    i: String,
    us: Long,
    n: Long,
    sum: Option[Long],
    min: Option[Long],
    max: Option[Long],
    avg: Option[Double],
    first: Option[Long],
    last: Option[Long],
    collect: Seq[Option[Long]])

/** What is kept of a key. `collected` in the order of time, then of arrival. */
case class Kept(
    latestUs: Long,
    n: Long,
    valued: Long,
    sum: Option[Long],
    inexact: Double,
    min: Option[Long],
    max: Option[Long],
    first: Timed,
    last: Timed,
    collected: Seq[Timed])

/** A running aggregate that says each change, and forgets a key in silence when its latest event is `ttlUs` old. */
class Running(ttlUs: Long, atMost: Int) extends StatefulProcessor[Key, Event, Total] {
  @transient private var kept: ValueState[Kept] = _

  override def init(output: OutputMode, time: TimeMode): Unit =
    kept = getHandle.getValueState("kept", Encoders.product[Kept], TTLConfig.NONE)

  override def handleInputRows(key: Key, rows: Iterator[Event], timers: TimerValues): Iterator[Total] = {
    val before = Option(kept.get())
    val changes = rows.toSeq.sortBy(_.o).scanLeft((before, Option.empty[Total])) { case ((known, _), event) =>
      val now = known.fold(begin(event))(add(_, event))
      (Some(now), Some(total(event, now)))
    }
    val now = changes.last._1.get
    if (ttlUs >= 0) {
      before.foreach(known => getHandle.deleteTimer(Due.after(known.latestUs + ttlUs)))
      getHandle.registerTimer(Due.after(now.latestUs + ttlUs))
    }
    kept.update(now)
    changes.iterator.flatMap(_._2)
  }

  override def handleExpiredTimer(key: Key, timers: TimerValues, expired: ExpiredTimerInfo): Iterator[Total] = {
    kept.clear()
    Iterator.empty
  }

  private def begin(event: Event): Kept = {
    val timed = Timed(event.us, event.v)
    Kept(event.us, 1, event.v.size, event.v, event.v.fold(0.0)(_.toDouble), event.v, event.v, timed, timed, Seq(timed))
  }

  private def add(known: Kept, event: Event): Kept = {
    val timed = Timed(event.us, event.v)
    def both(join: (Long, Long) => Long)(one: Option[Long]): Option[Long] =
      (one ++ event.v).reduceOption(join)
    val (earlier, later) = known.collected.span(_.us <= event.us)
    Kept(
      Math.max(known.latestUs, event.us),
      known.n + 1,
      known.valued + event.v.size,
      both(Math.addExact(_, _))(known.sum),
      known.inexact + event.v.fold(0.0)(_.toDouble),
      both(Math.min(_, _))(known.min),
      both(Math.max(_, _))(known.max),
      if (timed.us < known.first.us) timed else known.first,
      if (timed.us >= known.last.us) timed else known.last,
      (earlier :+ timed :++ later).take(atMost))
  }

  private def total(event: Event, now: Kept): Total = Total(
    event.k,
    event.i,
    event.us,
    now.n,
    now.sum,
    now.min,
    now.max,
    if (now.valued == 0) None else Some(now.inexact / now.valued),
    now.first.v,
    now.last.v,
    now.collected.map(_.v))
}
