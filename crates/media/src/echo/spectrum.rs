//! The transform that the adaptive filters share: real blocks of two frames, without allocation.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use realfft::num_complex::Complex32;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

/// Both directions of a transform.
type Plans = (Arc<dyn RealToComplex<f32>>, Arc<dyn ComplexToReal<f32>>);

/// The transforms of so many samples. They are the same for all calls, and made once: a call that is interrupted is not the moment.
pub(super) fn plans(length: usize) -> Plans {
    static PLANNER: LazyLock<Mutex<RealFftPlanner<f32>>> =
        LazyLock::new(|| Mutex::new(RealFftPlanner::new()));
    let mut planner = PLANNER.lock().unwrap_or_else(PoisonError::into_inner);
    (
        planner.plan_fft_forward(length),
        planner.plan_fft_inverse(length),
    )
}

/// Transforms of twice a block, with their working memory.
pub(super) struct Spectrum {
    block: usize,
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
    time: Vec<f32>,
    bins: Vec<Complex32>,
    scratch: Vec<Complex32>,
}

impl Spectrum {
    /// For blocks of so many samples.
    pub(super) fn new(block: usize) -> Self {
        let (forward, inverse) = plans(2 * block);
        let longest = forward.get_scratch_len().max(inverse.get_scratch_len());
        Self {
            block,
            time: vec![0.0; 2 * block],
            bins: vec![Complex32::default(); block + 1],
            scratch: vec![Complex32::default(); longest],
            forward,
            inverse,
        }
    }

    /// Bins of a spectrum.
    pub(super) fn bins(&self) -> usize {
        self.block + 1
    }

    /// The spectrum of two halves, one after the other.
    pub(super) fn of(&mut self, first: Option<&[f32]>, second: &[f32], into: &mut [Complex32]) {
        match first {
            Some(first) => self.time[..self.block].copy_from_slice(first),
            None => self.time[..self.block].fill(0.0),
        }
        self.time[self.block..].copy_from_slice(second);
        // Lengths are those of the plan: it cannot fail.
        let _ = self
            .forward
            .process_with_scratch(&mut self.time, into, &mut self.scratch);
    }

    /// The second half of what a spectrum stands for: the part of a circular convolution that is linear.
    pub(super) fn second_half(&mut self, spectrum: &[Complex32], into: &mut [f32]) {
        self.bins.copy_from_slice(spectrum);
        self.invert();
        let scale = self.scale();
        for (to, from) in into.iter_mut().zip(&self.time[self.block..]) {
            *to = from * scale;
        }
    }

    /// Takes from a spectrum what a filter of one block cannot have.
    pub(super) fn constrain(&mut self, spectrum: &mut [Complex32]) {
        self.bins.copy_from_slice(spectrum);
        self.invert();
        let scale = self.scale();
        for sample in &mut self.time[..self.block] {
            *sample *= scale;
        }
        self.time[self.block..].fill(0.0);
        let _ = self
            .forward
            .process_with_scratch(&mut self.time, spectrum, &mut self.scratch);
    }

    fn invert(&mut self) {
        // The first and the last bin of a real signal are real; rounding must not say otherwise.
        if let Some(bin) = self.bins.first_mut() {
            bin.im = 0.0;
        }
        if let Some(bin) = self.bins.last_mut() {
            bin.im = 0.0;
        }
        let _ =
            self.inverse
                .process_with_scratch(&mut self.bins, &mut self.time, &mut self.scratch);
    }

    fn scale(&self) -> f32 {
        #[expect(clippy::cast_precision_loss, reason = "at most 640")]
        let scale = 1.0 / (2 * self.block) as f32;
        scale
    }
}

impl std::fmt::Debug for Spectrum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Spectrum({})", self.block)
    }
}
