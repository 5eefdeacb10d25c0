"""Publications behind what crossmod does, as the methods text of a study cites them."""

from __future__ import annotations

REFERENCES = {
    "adam": "Kingma DP, Ba J. Adam: a method for stochastic optimization. ICLR, 2015.",
    "ants": "Avants BB, Tustison NJ, Song G, Cook PA, Klein A, Gee JC. A reproducible "
    "evaluation of ANTs similarity metric performance in brain image registration. NeuroImage "
    "54(3):2033-2044, 2011.",
    "atlas": "Fonov V, Evans AC, Botteron K, Almli CR, McKinstry RC, Collins DL. Unbiased "
    "average age-appropriate atlases for pediatric studies. NeuroImage 54(1):313-327, 2011.",
    "bootstrap": "Efron B, Tibshirani RJ. An introduction to the bootstrap. Chapman & Hall, 1993.",
    "gan": "Goodfellow I, Pouget-Abadie J, Mirza M, et al. Generative adversarial nets. "
    "NeurIPS, 2014.",
    "hinge": "Lim JH, Ye JC. Geometric GAN. arXiv:1705.02894, 2017.",
    "holm": "Holm S. A simple sequentially rejective multiple test procedure. "
    "Scandinavian Journal of Statistics 6(2):65-70, 1979.",
    "lsgan": "Mao X, Li Q, Xie H, Lau RYK, Wang Z, Smolley SP. Least squares generative "
    "adversarial networks. ICCV, 2017.",
    "ms-ssim": "Wang Z, Simoncelli EP, Bovik AC. Multiscale structural similarity for "
    "image quality assessment. Asilomar Conference on Signals, Systems and Computers, 2003.",
    "mutual": "Mattes D, Haynor DR, Vesselle H, Lewellen TK, Eubank W. PET-CT image "
    "registration in the chest using free-form deformations. IEEE Transactions on Medical "
    "Imaging 22(1):120-128, 2003.",
    "n4": "Tustison NJ, Avants BB, Cook PA, et al. N4ITK: improved N3 bias correction. "
    "IEEE Transactions on Medical Imaging 29(6):1310-1320, 2010.",
    "nyul": "Nyúl LG, Udupa JK, Zhang X. New variants of a method of MRI scale standardization. "
    "IEEE Transactions on Medical Imaging 19(2):143-150, 2000.",
    "pix2pix": "Isola P, Zhu J-Y, Zhou T, Efros AA. Image-to-image translation with "
    "conditional adversarial networks. CVPR, 2017.",
    "quickshear": "Schimke N, Hale J. Quickshear defacing for neuroimages. USENIX Workshop on "
    "Health Security and Privacy, 2011.",
    "snakemake": "Mölder F, Jablonski KP, Letcher B, et al. Sustainable data analysis "
    "with Snakemake. F1000Research 10:33, 2021.",
    "ssim": "Wang Z, Bovik AC, Sheikh HR, Simoncelli EP. Image quality assessment: from "
    "error visibility to structural similarity. IEEE Transactions on Image Processing "
    "13(4):600-612, 2004.",
    "surface": "Smith SM. Fast robust automated brain extraction. Human Brain Mapping "
    "17(3):143-155, 2002.",
    "syn": "Avants BB, Epstein CL, Grossman M, Gee JC. Symmetric diffeomorphic image registration "
    "with cross-correlation: evaluating automated labeling of elderly and neurodegenerative "
    "brain. Medical Image Analysis 12(1):26-41, 2008.",
    "torch": "Paszke A, Gross S, Massa F, et al. PyTorch: an imperative style, "
    "high-performance deep learning library. NeurIPS, 2019.",
    "unet": "Ronneberger O, Fischer P, Brox T. U-Net: convolutional networks for "
    "biomedical image segmentation. MICCAI, 2015.",
    "white-stripe": "Shinohara RT, Sweeney EM, Goldsmith J, et al. Statistical normalization "
    "techniques for magnetic resonance imaging. NeuroImage: Clinical 6:9-19, 2014.",
    "wilcoxon": "Wilcoxon F. Individual comparisons by ranking methods. Biometrics "
    "Bulletin 1(6):80-83, 1945.",
}
